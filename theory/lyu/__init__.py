"""Early and late implicit biases of homogeneous models under weight decay (Lyu et al. 2024).

Large initialisation alpha, small decay lambda: a kernel predictor first, a minimum norm one later.
"""
