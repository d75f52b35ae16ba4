"""The paper's image task: CIFAR-10 with one majority class."""
