"""``petiole-edge doctor``: looks at everything the server needs on its machine, changes nothing, says what to do."""
