/// What is wrong with frames from another process.
package enum FrameError: Error, Equatable, CustomStringConvertible {
    case frameCount(Int)
    case envelopeSize(Int)
    case notProtobuf
    case noBody
    case wrongDirection
    case tensorCount(Int)
    case elementType(Int)
    case shape([UInt32])
    case tensorSize(bytes: Int, shape: [Int])
    case field(String)
    case tooOften
    case repeatedHello

    package var description: String {
        switch self {
        case .frameCount(let count): "\(count) frames are too few or too many"
        case .envelopeSize(let bytes): "an envelope of \(bytes) bytes is too large"
        case .notProtobuf: "the first frame is not an Envelope"
        case .noBody: "the envelope has no body that this version knows"
        case .wrongDirection: "the message goes the other way"
        case .tensorCount(let count): "\(count) tensors do not fit this message"
        case .elementType(let type): "element type \(type) is unknown"
        case .shape(let shape): "shape \(shape) is not acceptable"
        case .tensorSize(let bytes, let shape): "\(bytes) bytes do not hold a tensor of \(shape)"
        case .field(let name): "\(name) is missing or out of range"
        case .tooOften: "messages come faster than a worker has reason to send them"
        case .repeatedHello: "a second hello on one connection"
        }
    }
}

/// Bounds on what is read from another process, checked before anything is allocated for it.
package struct FrameLimits: Sendable {
    /// Bytes of the protobuf frame.
    package var envelope = 64 << 10
    /// Bytes of a raw frame; also the largest frame that a socket accepts.
    package var tensor = 64 << 20
    /// Raw frames in a message.
    package var tensors = 4
    /// Axes of a tensor.
    package var axes = 4
    /// Messages of one peer that wait to be read; while there are more, its connection is not read.
    package var waiting = 64

    package init() {}

    /// Frames in a message.
    package var frames: Int { 1 + tensors }
}
