"""The options that state validation rules, generated from protos/buf/validate."""
