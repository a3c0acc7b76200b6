"""Agreement with other LRP engines, which live in an environment of their own (`make peers`)."""
