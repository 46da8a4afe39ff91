"""What is compiled while a test runs."""

import logging

import jax


def compiling(action):
    """The names of all computations that were compiled meanwhile."""
    names = []

    class Handler(logging.Handler):
        def emit(self, record):
            message = record.getMessage()
            if message.startswith("Compiling "):
                names.append(message.split()[1])

    logger, handler = logging.getLogger("jax"), Handler()
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        with jax.log_compiles():
            result = action()
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
    return result, names
