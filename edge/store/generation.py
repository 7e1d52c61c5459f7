"""Which life of a store this is: a random name that changes whenever a backup is restored.

Who has told others of sequences must know: what they were told after the backup was made is not here, and the same
sequences will be given again.
"""

GENERATION = "generation"  # a key among the values of the store; none: it has never been restored
