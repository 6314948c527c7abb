"""Training: data sets, networks, class weights, augmentation, the fit loop, runs and their plots."""
