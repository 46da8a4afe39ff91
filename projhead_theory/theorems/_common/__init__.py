"""Problems, training and comparisons that theorems of several families share."""
