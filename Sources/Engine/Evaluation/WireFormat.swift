/// How latents, predictions and pictures travel. The raw values are those of `--wire`.
package enum WireFormat: String, CaseIterable, Sendable {
    /// As they are.
    case f32
    /// Rounded to half precision: half the bytes, other bits in the picture.
    case f16

    /// Bytes of an element.
    package var size: Int {
        switch self {
        case .f32: 4
        case .f16: 2
        }
    }

    /// What a tensor becomes on the way.
    package func carried(_ tensor: Tensor) -> Tensor {
        switch self {
        case .f32: tensor
        case .f16: Tensor(halves: tensor.halves, shape: tensor.shape)
        }
    }
}
