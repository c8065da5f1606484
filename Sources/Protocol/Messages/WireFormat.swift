import Engine

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

    var elementType: WireElementType {
        switch self {
        case .f32: .float32
        case .f16: .float16
        }
    }

    /// - Throws: `FrameError.elementType` for one that is missing or unknown
    init(_ wire: WireElementType) throws(FrameError) {
        switch wire {
        case .float32: self = .f32
        case .float16: self = .f16
        case .unspecified, .UNRECOGNIZED: throw .elementType(wire.rawValue)
        }
    }
}

/// Which evaluations of a guided view are wanted.
package enum GuidanceBranch: String, CaseIterable, Sendable {
    /// Both, combined; or the prompt's alone where the job has no negative prompt.
    case both
    /// The prompt's alone, as it is.
    case text
    /// The negative prompt's alone, as it is.
    case negative

    init(_ wire: WireGuidanceBranch) throws(FrameError) {
        switch wire {
        case .unspecified: self = .both
        case .text: self = .text
        case .negative: self = .negative
        case .UNRECOGNIZED: throw .field("task.predict.branch")
        }
    }
}

extension WireGuidanceBranch {
    init(_ branch: GuidanceBranch) {
        self =
            switch branch {
            case .both: .unspecified
            case .text: .text
            case .negative: .negative
            }
    }
}
