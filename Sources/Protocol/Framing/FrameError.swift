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
    case packing
    case field(String)
    case tooOften
    case repeatedHello
    /// A checksum is wrong. The unit whose tensor is damaged, if the rest of the message is intact.
    case damaged(UnitID?)

    package var description: String {
        switch self {
        case .frameCount(let count): "\(count) frames are too few or too many"
        case .envelopeSize(let bytes): "an envelope of \(bytes) bytes is too large"
        case .notProtobuf: "the first frame is not an Envelope"
        case .noBody: "the envelope has no body known to this version"
        case .wrongDirection: "the message is for the other direction"
        case .tensorCount(let count): "\(count) tensors do not fit this message"
        case .elementType(let type): "element type \(type) is unknown"
        case .shape(let shape): "shape \(shape) is not acceptable"
        case .tensorSize(let bytes, let shape): "\(bytes) bytes do not hold a tensor of \(shape)"
        case .packing: "a packed tensor does not unpack to its shape"
        case .field(let name): "\(name) is missing or out of range"
        case .tooOften: "messages arrive faster than a worker needs to send them"
        case .repeatedHello: "a second hello on one connection"
        case .damaged(let unit): "damaged in transit" + (unit.map { ": the tensor of \($0)" } ?? "")
        }
    }
}

/// Limits on data from another process, checked before anything is allocated for it.
package struct FrameLimits: Sendable {
    /// Maximum size of the protobuf frame, in bytes.
    package var envelope = 64 << 10
    /// Maximum size of a raw frame, in bytes; also the largest frame that a socket accepts.
    package var tensor = 64 << 20
    /// Maximum number of raw frames per message.
    package var tensors = 4
    /// Maximum number of axes of a tensor.
    package var axes = 4
    /// Maximum number of unread messages per peer; above this, its connection is not read.
    package var waiting = 64

    /// Maximum number of messages queued for a peer; nil for ZeroMQ's default.
    package var unsent: Int?

    package init() {}

    /// Maximum number of frames per message.
    package var frames: Int { 1 + tensors }
}
