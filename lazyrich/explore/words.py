"""The words of the page, each in a sentence; the keys are anchors of ``docs/glossary.md``."""

WORDS = {
    "grokking": "The train loss falls early, the test loss only after a long plateau.",
    "lazy": "The weights hardly move, and training is kernel regression with the first kernel.",
    "rich": "The weights move far enough to change the kernel: the network learns features.",
    "alpha-and-epsilon": "α multiplies the output: a large one makes training lazy. ε is the "
    "curvature of the activation: a small one leaves the first kernel misaligned with the task.",
    "twin": "The linearised network: the first-order expansion in the weights around the start, "
    "trained in the same way. Where network and twin agree, training is lazy.",
    "plateau": "The train loss has fallen and the test loss has not.",
    "fallen": "A loss has fallen once it stays below 2/15 of the loss of predicting nothing.",
    "phase": "Not fitted; memorises (the train loss falls, the test loss does not); groks (the "
    "test loss falls more than twice as late); generalises at once.",
    "population-loss": "The expected loss on a new input: a test loss with infinitely many "
    "samples.",
    "centred": "The centred predictor is f(x; w) − f(x; w₀): it starts at zero everywhere.",
    "width": "The number N of neurons. Infinite width is exact: two moments of the weights close.",
    "early-and-late-bias": "Training first finds the solution that the first kernel prefers and, "
    "under weight decay, later that of smallest norm.",
}
