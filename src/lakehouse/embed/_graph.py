"""The forward pass of all-MiniLM-L6-v2 as an ONNX graph, built from its safetensors.

Six BERT layers in onnxruntime's fused operators (attention, skip and layer norm, exact-erf GELU), the mean over all
positions, unit norm. There is no attention mask: a batch holds texts of one token length only, see `_minilm`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# Part of the cache key: raise it with every change of this module that changes the graph.
VERSION = 1

LAYERS = 6
HEADS = 12
DIMENSION = 384
INPUT = "ids"
OUTPUT = "vectors"

_EPSILON = 1e-12
_FUSED = "com.microsoft"


class _Graph:
    """Nodes and constants in the order they were added."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, array: np.ndarray) -> str:
        import numpy as np
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, *, domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        # EmbedLayerNormalization has a second, required output; nothing reads it.
        outputs = [output, f"{output}_mask_index"] if operator == "EmbedLayerNormalization" else [output]
        self.nodes.append(helper.make_node(operator, inputs, outputs, domain=domain, **attributes))
        return output


def build(weights: dict[str, np.ndarray]) -> bytes:
    """Return the serialized model.

    Args:
        weights: Tensors by their published names.

    Returns:
        A model from `ids` `(batch, length)` int32 to `vectors` `(batch, 384)` float32.
    """
    from onnx import TensorProto, helper

    graph = _Graph()
    hidden = _embedding(graph, weights)
    for layer in range(LAYERS):
        hidden = _layer(graph, weights, layer, hidden)
    _pool(graph, hidden)
    body = helper.make_graph(
        graph.nodes,
        "all-MiniLM-L6-v2",
        [helper.make_tensor_value_info(INPUT, TensorProto.INT32, ["batch", "length"])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", DIMENSION])],
        graph.constants,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_FUSED, 1)]
    serialized: bytes = helper.make_model(body, opset_imports=opsets, ir_version=9).SerializeToString()
    return serialized


def _embedding(graph: _Graph, weights: dict[str, np.ndarray]) -> str:
    # Every token has type 0, so its embedding belongs to the position.
    position = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    inputs = [
        INPUT,
        "",
        graph.constant("word", weights["embeddings.word_embeddings.weight"]),
        graph.constant("position", position),
        "",
        graph.constant("norm_scale", weights["embeddings.LayerNorm.weight"]),
        graph.constant("norm_shift", weights["embeddings.LayerNorm.bias"]),
    ]
    return graph.node("EmbedLayerNormalization", inputs, "hidden_0", domain=_FUSED, epsilon=_EPSILON)


def _layer(graph: _Graph, weights: dict[str, np.ndarray], layer: int, hidden: str) -> str:
    import numpy as np

    prefix = f"encoder.layer.{layer}."

    def constant(name: str) -> str:
        tensor = weights[prefix + name]
        return graph.constant(f"{layer}.{name}", tensor.T if tensor.ndim == 2 else tensor)

    def joined(kind: str) -> np.ndarray:
        parts = [weights[f"{prefix}attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
        return np.concatenate([part.T for part in parts], axis=-1)

    def residual(name: str, inputs: list[str], output: str) -> str:
        names = [
            constant(f"{name}.LayerNorm.weight"),
            constant(f"{name}.LayerNorm.bias"),
            constant(f"{name}.dense.bias"),
        ]
        return graph.node("SkipLayerNormalization", [*inputs, *names], output, domain=_FUSED, epsilon=_EPSILON)

    def product(name: str, value: str, output: str) -> str:
        return graph.node("MatMul", [value, constant(f"{name}.dense.weight")], output)

    projection = [graph.constant(f"{layer}.qkv", joined("weight")), graph.constant(f"{layer}.qkv_bias", joined("bias"))]
    attended = graph.node("Attention", [hidden, *projection], f"{layer}.attended", domain=_FUSED, num_heads=HEADS)
    mixed = product("attention.output", attended, f"{layer}.mixed")
    between = residual("attention.output", [mixed, hidden], f"{layer}.between")
    wide = product("intermediate", between, f"{layer}.wide")
    curved = graph.node("BiasGelu", [wide, constant("intermediate.dense.bias")], f"{layer}.curved", domain=_FUSED)
    narrow = product("output", curved, f"{layer}.narrow")
    return residual("output", [narrow, between], f"hidden_{layer + 1}")


def _pool(graph: _Graph, hidden: str) -> None:
    import numpy as np
    from onnx import numpy_helper

    one = graph.constant("one", np.array([1], dtype=np.int64))
    length = graph.node("Gather", [graph.node("Shape", [INPUT], "shape"), one], "length")
    row = graph.node("Concat", [one, length], "row_shape", axis=0)
    ones = numpy_helper.from_array(np.ones(1, dtype=np.float32))
    # ReduceMean adds in another order when the batch has one row; a product with a row of ones does not. The
    # division by the length is left out: the norm takes it away again.
    total = graph.node("MatMul", [graph.node("ConstantOfShape", [row], "ones", value=ones), hidden], "total")
    flat = graph.node("Squeeze", [total, one], "sum")
    graph.node("LpNormalization", [flat], OUTPUT, axis=1, p=2)
