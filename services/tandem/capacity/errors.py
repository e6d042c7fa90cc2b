"""What is wrong with what is to be planned."""


class BadPlan(Exception):
    """What was given cannot be planned with; the message says what is wrong and what to give."""
