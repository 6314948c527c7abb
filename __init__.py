"""garmentlite: garment classifiers from training to an int8 file on a Raspberry Pi, proved class by class."""
