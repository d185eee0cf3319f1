"""The two-step hyperparameter search of Yu et al. (2024, doi:10.1175/AIES-D-23-0013.1).

Step 1 tries many multilayer perceptrons on a subset of the training rows; Step 2
retrains the best few on all of them and tests them on the holdout.
"""
