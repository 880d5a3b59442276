"""What the laws of ``theory.laws`` say as numbers: roots and integrals, with no training."""
