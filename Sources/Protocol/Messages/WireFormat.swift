import Engine

extension WireFormat {
    var elementType: WireElementType {
        switch self {
        case .f32: .float32
        case .f16: .float16
        }
    }

    /// - Throws: `FrameError.elementType` if the type is missing or unknown
    init(_ wire: WireElementType) throws(FrameError) {
        switch wire {
        case .float32: self = .f32
        case .float16: self = .f16
        case .bytes, .unspecified, .UNRECOGNIZED: throw .elementType(wire.rawValue)
        }
    }
}
