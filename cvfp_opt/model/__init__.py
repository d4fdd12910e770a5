"""The maths of CVFP, on torch alone: network, losses, schedules, metrics, audit.

Axis letters used in shape comments throughout the package:
``T`` tokens, ``D`` context width, ``E`` embedding width, ``B`` minibatch, ``L`` layers.
"""
