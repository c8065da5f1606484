/// The residual block of the UNet and of the autoencoder (which has no timestep).
struct ResBlock {
    let norm1: GroupNorm
    let conv1: Conv2d
    let time: Linear?
    let norm2: GroupNorm
    let conv2: Conv2d
    let shortcut: Linear?

    /// Reads a block; `timeWidth` is the width of the timestep embedding, nil if there is none.
    init(
        _ weights: ModuleWeights,
        _ inputs: Int,
        _ outputs: Int,
        timeWidth: Int?,
        groups: Int,
        epsilon: Float
    ) throws {
        norm1 = try weights["norm1"].groupNorm(inputs, groups: groups, epsilon: epsilon)
        conv1 = try weights["conv1"].conv3x3(inputs, outputs)
        time = try timeWidth.map { try weights["time_emb_proj"].linear($0, outputs) }
        norm2 = try weights["norm2"].groupNorm(outputs, groups: groups, epsilon: epsilon)
        conv2 = try weights["conv2"].conv3x3(outputs, outputs)
        shortcut =
            inputs == outputs ? nil : try weights["conv_shortcut"].pointwise(inputs, outputs)
    }

    /// - Parameters:
    ///   - x: `[batch, height, width, inputs]`
    ///   - embedding: `[batch, timeWidth]`, the timestep embedding after its SiLU
    /// - Returns: `[batch, height, width, outputs]`
    func callAsFunction(_ x: Activation, time embedding: Activation? = nil) -> Activation {
        let bias = embedding.flatMap { embedding in time.map { $0(embedding) } }
        let h = conv1(norm1(x, then: .silu))
        return conv2(
            norm2(h, plus: bias, then: .silu, overwriting: true),
            plus: shortcut?(x) ?? x
        )
    }

    /// Applies the block to `x` in place; nothing else may use `x`. It needs less memory than a call: in an
    /// autoencoder, the pictures with the most channels are also the largest.
    func replace(_ x: inout Activation) {
        let kept = shortcut?(x) ?? x
        x = conv1(norm1(x, then: .silu, overwriting: shortcut != nil))
        x = conv2(norm2(x, then: .silu, overwriting: true), plus: kept)
    }
}

/// Halves a picture with a strided convolution.
struct Downsample {
    let conv: Conv2d

    init(_ weights: ModuleWeights, _ channels: Int, padding: Padding) throws {
        conv = try weights["downsamplers"][0]["conv"].conv3x3(
            channels,
            channels,
            stride: 2,
            padding: padding
        )
    }

    func callAsFunction(_ x: Activation) -> Activation { conv(x) }
}
