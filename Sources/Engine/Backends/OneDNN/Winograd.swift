import CKernels

/// Kernels as `tessera_convolve_winograd` reads them, and their bias.
final class WinogradWeights: KeptLayer {}

/// 3×3 convolutions of stride 1 by Winograd's method: a quarter of the direct method's multiplications in float32, four
/// ninths in pairs of bfloat16 values, whose low precision does not allow larger tiles.
///
/// Kernels are stored untransformed and are transformed one panel at a time when they are used: transformed, they
/// would take four times the memory.
extension OneDNNBackend {
    /// Maximum tiles per block.
    private static let tilesPerBlock = 132
    /// Minimum number of blocks that a picture is split into, if it has enough outputs.
    private static let blocks = 4
    /// The number of outputs per block is a multiple of this, except in the last block.
    private static let outputsPerPanel = 64
    /// The kernel requires inputs and outputs to be multiples of this.
    private static let lanes = 16

    /// Minimum inputs and outputs for which pairs are faster. Narrower layers occur in small networks, whose pictures
    /// have too few tiles to pay for transforming the kernels.
    private static let fewestForPairs = 256

    /// Whether a layer is computed with Winograd's method: its sizes must fit, and oneDNN must
    /// not be emulating instructions.
    func servesWinograd(inputs: Int, outputs: Int, kernel: Int, stride: Int) -> Bool {
        let gains =
            multipliesFloats
            || (tessera_has_bfloat16() != 0 && min(inputs, outputs) >= Self.fewestForPairs)
        return gains && kernel == 3 && stride == 1 && inputs % Self.lanes == 0
            && outputs % Self.lanes == 0
    }

    /// Stores the weights of a layer that is computed with Winograd's method.
    func prepareWinograd(
        inputs: Int,
        outputs: Int,
        _ read: () throws -> Parameters
    ) throws -> WinogradWeights {
        let size = outputs * inputs * 9 * element.size
        return WinogradWeights(
            try keep(size, outputs: outputs, hasBias: true, read) { weight, memory in
                weight.withFloats { from in
                    guard let start = from.baseAddress else { return }
                    tessera_winograd_pack(start, inputs, outputs, memory, element.rawValue)
                }
            }
        )
    }

    /// Convolves every picture of `x` into `result` and adds `residual`, if any.
    func convolve(
        _ x: Activation,
        _ weights: WinogradWeights,
        padding: Padding,
        residual: Activation?,
        into result: Activation
    ) {
        let (from, to, size) = (x.shape, result.shape, element.size)
        var picture = tessera_winograd(
            height: from[1],
            width: from[2],
            inputs: from[3],
            out_height: to[1],
            out_width: to[2],
            outputs: to[3],
            top: padding.top,
            left: padding.left,
            element: element.rawValue
        )
        let edge = multipliesFloats ? 4 : 2
        let tiles = ((to[1] + edge - 1) / edge) * ((to[2] + edge - 1) / edge)
        let groups = (tiles + Self.tilesPerBlock - 1) / Self.tilesPerBlock
        let step = (tiles + groups - 1) / groups
        // With few tiles, the outputs are divided among the threads too, although each block then
        // transforms the inputs again.
        let panels = (to[3] + Self.outputsPerPanel - 1) / Self.outputsPerPanel
        let parts = min(panels, max(1, Self.blocks / groups))
        let outputs = (panels + parts - 1) / parts * Self.outputsPerPanel
        let shares = (to[3] + outputs - 1) / outputs
        let room =
            multipliesFloats
            ? tessera_winograd_scratch_size(from[3], step)
            : tessera_winograd_pairs_scratch_size(from[3], step)
        let compute =
            multipliesFloats ? tessera_convolve_winograd : tessera_convolve_winograd_pairs
        let (input, out) = (pointer(x), pointer(result))
        let second = residual.map { UnsafeRawPointer(pointer($0)) }
        let (ins, outs) = (
            from[1] * from[2] * from[3] * size, to[1] * to[2] * to[3] * size
        )
        withUnsafePointer(to: &picture) { picture in
            threads.run(from[0] * groups * shares) { index, lane in
                let (share, at) = (index % shares, index / shares)
                let (first, number) = (at % groups * step, at / groups)
                guard first < tiles else { return }
                compute(
                    picture,
                    first,
                    min(step, tiles - first),
                    share * outputs,
                    min(to[3], (share + 1) * outputs),
                    input + number * ins,
                    weights.weights,
                    weights.bias,
                    second.map { $0 + number * outs },
                    out + number * outs,
                    scratch(lane: lane, room)
                )
            }
        }
    }
}
