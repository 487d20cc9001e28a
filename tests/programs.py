"""What one process of the tests has compiled, so that it compiles no program twice."""

import hashlib
from collections import OrderedDict
from importlib.metadata import version

KEPT = 100  # programs, of which a run has about forty; with 400 a process of the tests grew beyond 4 GiB


def remember_programs() -> None:
    """Makes jax ask here before it asks XLA: every run of a demo has a step of its own to trace, and the same
    program to compile. jax's own store of programs is on disk, and jaxlib 0.10 may die while it writes there.
    """
    if not version("jax").startswith("0.10."):
        return  # of a later one we do not know the inside
    from jax._src import compiler

    compile_anew = compiler.backend_compile_and_load
    programs = OrderedDict()

    def compile_once(backend, module, devices, options, host_callbacks):
        if host_callbacks:
            return compile_anew(backend, module, devices, options, host_callbacks)
        told = str(module).encode(), str(devices).encode(), options.SerializeAsString()
        key = hashlib.sha256(b"\n".join(told)).digest()
        if key not in programs:
            programs[key] = compile_anew(backend, module, devices, options, host_callbacks)
        programs.move_to_end(key)
        if len(programs) > KEPT:
            programs.popitem(last=False)
        return programs[key]

    compiler.backend_compile_and_load = compile_once
