import Engine
import SwiftProtobuf

/// Converts between messages and their frames: one envelope and its raw frames.
enum FrameCodec {
    /// The frames of a message: the envelope, completed with a header for every tensor, then the
    /// tensors' elements.
    ///
    /// - Parameters:
    ///   - envelope: the envelope, without tensor headers
    ///   - tensors: the message's tensors
    ///   - format: element type on the wire
    ///   - packs: whether to pack tensors if that makes them smaller
    /// - Returns: the frames
    static func frames(
        _ envelope: WireEnvelope,
        _ tensors: [Tensor],
        as format: WireFormat = .f32,
        packs: Bool = false
    ) -> [[UInt8]] {
        var envelope = envelope
        var contents: [[UInt8]] = []
        for tensor in tensors {
            let bytes = TensorFrame.bytes(of: tensor, as: format)
            let packed = packs ? PackedTensor.pack(bytes, size: format.size) : nil
            contents.append(packed ?? bytes)
            envelope.tensors.append(
                .with {
                    $0.elementType = format.elementType
                    $0.shape = tensor.shape.map { UInt32($0) }
                    $0.checksum = FrameChecksum.of(packed ?? bytes)
                    $0.packed = packed != nil
                }
            )
        }
        return [serialized(envelope)] + contents
    }

    /// The frames of a message with the bytes of a file, if there are any. They have no checksum, because files have
    /// their own digests.
    static func frames(_ envelope: WireEnvelope, file bytes: [UInt8]?) -> [[UInt8]] {
        var envelope = envelope
        envelope.tensors = [bytes].compactMap(\.self).map { bytes in
            .with {
                $0.elementType = .bytes
                $0.shape = [UInt32(bytes.count)]
            }
        }
        return [serialized(envelope)] + [bytes].compactMap(\.self)
    }

    private static func serialized(_ envelope: WireEnvelope) -> [UInt8] {
        do {
            return FrameChecksum.sealed(try envelope.serializedBytes())
        } catch {
            preconditionFailure("proto3 without required fields always serialises: \(error)")
        }
    }

    /// Checks all limits, then reads the envelope and the tensors.
    static func parse(
        _ frames: [[UInt8]],
        limits: FrameLimits
    ) throws(FrameError) -> (WireEnvelope, [Tensor]) {
        guard let head = frames.first, frames.count <= limits.frames else {
            throw .frameCount(frames.count)
        }
        guard head.count <= limits.envelope else { throw .envelopeSize(head.count) }
        let envelope = try self.envelope(head)
        guard envelope.tensors.count == frames.count - 1 else {
            throw .tensorCount(envelope.tensors.count)
        }
        // The bytes of a file are not a tensor, and are not copied.
        if case .chunk = envelope.body {
            for (header, bytes) in zip(envelope.tensors, frames.dropFirst()) {
                guard header.elementType == .bytes, header.shape == [UInt32(bytes.count)] else {
                    throw .elementType(header.elementType.rawValue)
                }
            }
            return (envelope, [])
        }
        var tensors: [Tensor] = []
        for (header, bytes) in zip(envelope.tensors, frames.dropFirst()) {
            let isDamaged = header.hasChecksum && header.checksum != FrameChecksum.of(bytes)
            // A damaged packed tensor may not even unpack.
            if isDamaged, header.packed { throw .damaged(envelope.unit) }
            tensors.append(try TensorFrame.tensor(header, bytes, limits: limits))
            if isDamaged { throw .damaged(envelope.unit) }
        }
        return (envelope, tensors)
    }

    /// Reads an envelope. Envelopes of the previous protocol version have no checksum; then damage cannot be detected.
    private static func envelope(_ head: [UInt8]) throws(FrameError) -> WireEnvelope {
        do throws(FrameError) {
            let envelope = try WireEnvelope(received: head, depth: 8)
            if envelope.hasChecksum, FrameChecksum.isDamaged(head) { throw .damaged(nil) }
            return envelope
        } catch {
            throw FrameChecksum.isDamaged(head) ? .damaged(nil) : error
        }
    }
}

extension WireEnvelope {
    /// The unit that a tensor belongs to.
    fileprivate var unit: UnitID? {
        switch body {
        case .task(let task): UnitID(task.unit)
        case .answer(let answer): UnitID(answer.unit)
        default: nil
        }
    }
}

/// The elements of one tensor as bytes.
enum TensorFrame {
    /// The elements in row-major order, little-endian.
    static func bytes(of tensor: Tensor, as format: WireFormat) -> [UInt8] {
        #if _endian(big)
        #error("Tensor frames are copied as they are: a big-endian host would have to swap them.")
        #endif
        switch format {
        case .f32: return tensor.withFloats { Array(UnsafeRawBufferPointer($0)) }
        case .f16: return tensor.halves
        }
    }

    /// Reads a tensor; its header and its size must agree.
    static func tensor(
        _ header: WireTensorHeader,
        _ bytes: [UInt8],
        limits: FrameLimits
    ) throws(FrameError) -> Tensor {
        let format = try WireFormat(header.elementType)
        guard (1...limits.axes).contains(header.shape.count) else { throw .shape(header.shape) }
        let maxCount = limits.tensor / MemoryLayout<Float>.size
        var count = 1
        for extent in header.shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: Int(extent))
            guard extent > 0, !overflow, product <= maxCount else { throw .shape(header.shape) }
            count = product
        }
        let shape = header.shape.map { Int($0) }
        let bytes =
            header.packed
            ? try PackedTensor.unpack(bytes, count: count, size: format.size) : bytes
        guard bytes.count == count * format.size else {
            throw .tensorSize(bytes: bytes.count, shape: shape)
        }
        switch format {
        case .f32:
            return Tensor(shape: shape) {
                UnsafeMutableRawBufferPointer($0).copyBytes(from: bytes)
            }
        case .f16: return Tensor(halves: bytes, shape: shape)
        }
    }
}
