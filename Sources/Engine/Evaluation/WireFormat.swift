/// The precision in which latents, predictions and pictures are sent. The raw values are those of `--wire`.
package enum WireFormat: String, CaseIterable, Sendable {
    /// Unchanged, as float32.
    case f32
    /// Rounded to half precision: half the bytes, but the bits of the picture change.
    case f16

    /// Bytes per element.
    package var size: Int {
        switch self {
        case .f32: 4
        case .f16: 2
        }
    }

    /// A tensor after the round trip through this format.
    package func carried(_ tensor: Tensor) -> Tensor {
        switch self {
        case .f32: tensor
        case .f16: Tensor(halves: tensor.halves, shape: tensor.shape)
        }
    }
}
