"""Training: data sets, networks, class weights, augmentation, the training loop, runs and their plots."""
