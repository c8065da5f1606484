import Engine

/// A message from the coordinator, decoded as far as a relay needs it.
package enum RelayedMessage: Sendable {
    /// A task whose input lacks what was sent before.
    case task(RelayedTask)
    /// Machines that may fetch the model from the worker.
    case admit(Set<PublicKey>)
    /// The worker has joined.
    case welcome
    /// The relay was taken off the coordinator's list.
    case removed
    /// The coordinator is shutting down.
    case ended
    /// A chunk of the model's files; passed on unchanged.
    case file
    /// Anything else; passed on unchanged.
    case other

    /// Whether the message says that the coordinator is shutting down or has removed the relay.
    package var endsAll: Bool {
        switch self {
        case .removed, .ended: true
        case .task, .admit, .welcome, .file, .other: false
        }
    }

    /// - Throws: `FrameError` if a task cannot be completed
    package init(frames: [[UInt8]], limits: FrameLimits = FrameLimits()) throws(FrameError) {
        guard let head = frames.first, head.count <= limits.envelope,
            let envelope = try? WireEnvelope(received: head, depth: 8)
        else {
            self = .other
            return
        }
        switch envelope.body {
        case .task(let task) where task.hasDelta:
            self = .task(try RelayedTask(task, frames, limits))
        case .admit:
            guard case .admit(let keys) = try CoordinatorMessage(frames: frames, limits: limits)
            else { preconditionFailure("another body") }
            self = .admit(keys)
        case .goodbye(let goodbye) where goodbye.reason == .removed: self = .removed
        case .goodbye(let goodbye) where goodbye.reason == .leaving: self = .ended
        case .welcome: self = .welcome
        case .chunk: self = .file
        default: self = .other
        }
    }
}

/// A task whose latent the relay completes.
package struct RelayedTask: Sendable {
    package let unit: UnitID
    package let delta: LatentDelta
    /// The pixels that were sent, `[1, 1, n, channels]`; nil if all of them were sent before.
    package let pixels: Tensor?
    private let envelope: WireEnvelope
    private let format: WireFormat

    fileprivate init(
        _ task: WireTask,
        _ frames: [[UInt8]],
        _ limits: FrameLimits
    ) throws(FrameError) {
        let tensors: [Tensor]
        (envelope, tensors) = try FrameCodec.parse(frames, limits: limits)
        guard tensors.count <= 1 else { throw .tensorCount(tensors.count) }
        pixels = tensors.first
        let isWell = pixels.map { $0.shape.count == 4 && $0.shape[0...1] == [1, 1] } ?? true
        guard isWell else { throw .field("task: shape") }
        unit = UnitID(task.unit)
        delta = try LatentDelta(task.delta, pixels, limits: limits)
        format = try WireFormat(task.delta.elementType)
    }

    /// The complete task for the worker.
    ///
    /// - Parameter latent: the whole latent, `[1, height, width, channels]`
    /// - Returns: the frames of the message
    package func frames(_ latent: Tensor) -> [[UInt8]] {
        var whole = envelope
        whole.tensors = []
        whole.clearChecksum()
        whole.task.clearDelta()
        return FrameCodec.frames(whole, [latent], as: format, packs: envelope.task.delta.packs)
    }
}
