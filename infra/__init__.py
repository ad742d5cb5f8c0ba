"""The Pulumi program: what a stack may ask for, what fulfils it, and where."""
