"""Handwritten digits: a small convolutional network on real 8 x 8 images."""
