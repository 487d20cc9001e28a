"""What XLA is told in the tests: compiling costs more than running there."""

from importlib.metadata import version

QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
# Fused loops from an emitter that compiles twice as fast; and one thread, as every core has tests of its own.
# A flag that a later jaxlib may have lost would end the process.
if version("jaxlib").startswith("0.10."):
    QUICK += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"


def devices(number: int) -> str:
    """The flags for so many devices."""
    return f"--xla_force_host_platform_device_count={number} {QUICK}"
