"""Why examples are misclassified: groups of them that a person can act on. It decides no verdict and no gate."""
