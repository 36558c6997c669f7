# Runs one program that a model wrote, inside a sandbox. The constants before this line are written by `program.rs`.
import os
import sys


def limit(name, most):
    try:
        import resource
    except ImportError:  # not on every system; the sandbox has limits of its own there
        return
    kind = getattr(resource, name, None)
    if kind is not None:
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def run():
    verdict = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)

    def say(text):
        os.write(verdict, f"{NONCE} {text}\n".encode("utf-8", "replace"))

    for name, most in LIMITS:
        limit(name, most)
    say("started")
    try:
        # In a namespace of its own, where no module is __main__, as code_eval does it.
        exec(compile(PROGRAM, "<program>", "exec"), {})
    except BaseException as error:
        try:
            say(f"failed {type(error).__name__}: {str(error)[:200]!r}")
        except BaseException:
            pass
    else:
        say("passed")
    os._exit(0)


run()
