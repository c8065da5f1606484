import CZlib

/// Lossless compression of tensor elements, for links that are slower than zlib.
///
/// Noise itself hardly compresses. Grouped by their position in the element, the bytes with sign and exponent shrink to
/// two thirds with Huffman coding. Those of the mantissa do not shrink at all if all digits are random, but shrink a
/// lot for networks that compute in bfloat16 and so return eight significant bits. There are no repetitions, so none
/// are searched for.
package enum PackedTensor {
    /// In shorter frames, the gain is less than the header and checksum cost.
    package static let smallest = 1024
    /// A code has at least one bit, so each byte of a frame can stand for at most eight: a frame that claims more is an
    /// attempt to exhaust memory.
    package static let largestGain = 8

    /// Packs elements.
    ///
    /// - Parameters:
    ///   - bytes: whole elements
    ///   - size: bytes per element
    /// - Returns: nil if packing saves less than 1/32
    package static func pack(_ bytes: [UInt8], size: Int) -> [UInt8]? {
        guard bytes.count >= smallest else { return nil }
        let count = bytes.count / size
        precondition(bytes.count == count * size, "\(bytes.count) bytes of \(size) each")
        var planes = [UInt8](unsafeUninitializedCapacity: bytes.count) { planes, initialized in
            bytes.withUnsafeBufferPointer { bytes in
                for plane in 0..<size {
                    let to = plane * count
                    for i in 0..<count { planes[to + i] = bytes[i * size + plane] }
                }
            }
            initialized = bytes.count
        }
        var stream = z_stream()
        let began = deflateInit2_(
            &stream,
            1,
            Z_DEFLATED,
            -MAX_WBITS,
            8,
            Z_HUFFMAN_ONLY,
            ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size)
        )
        guard began == Z_OK else { return nil }
        defer { deflateEnd(&stream) }
        let limit = bytes.count - bytes.count / 32
        var isDone = false
        let packed = [UInt8](unsafeUninitializedCapacity: limit) { out, initialized in
            stream.next_out = out.baseAddress
            stream.avail_out = UInt32(limit)
            planes.withUnsafeMutableBufferPointer { planes in
                isDone = deflatePlanes(of: planes, each: count, &stream)
            }
            initialized = limit - Int(stream.avail_out)
        }
        return isDone ? packed : nil
    }

    /// - Returns: whether everything fitted
    private static func deflatePlanes(
        of planes: UnsafeMutableBufferPointer<UInt8>,
        each count: Int,
        _ stream: inout z_stream
    ) -> Bool {
        for start in stride(from: 0, to: planes.count, by: count) {
            let plane = UnsafeMutableBufferPointer(rebasing: planes[start..<start + count])
            // Codes that save nothing would only cost time.
            let isStored = isRandom(plane)
            guard
                deflateParams(
                    &stream,
                    isStored ? 0 : 1,
                    isStored ? Z_DEFAULT_STRATEGY : Z_HUFFMAN_ONLY
                ) == Z_OK
            else { return false }
            stream.next_in = plane.baseAddress
            stream.avail_in = UInt32(count)
            // Each plane has its own codes.
            let isLast = start + count == planes.count
            let code = deflate(&stream, isLast ? Z_FINISH : Z_BLOCK)
            if isLast { return code == Z_STREAM_END }
            guard code == Z_OK, stream.avail_in == 0, stream.avail_out > 0 else { return false }
        }
        return false
    }

    /// Whether all byte values are about equally frequent, judging by a sample.
    private static func isRandom(_ plane: UnsafeMutableBufferPointer<UInt8>) -> Bool {
        let sampled = min(plane.count, 4096)
        guard sampled > 1 else { return true }
        let step = plane.count / sampled
        var counts = [Int](repeating: 0, count: 256)
        for i in 0..<sampled { counts[Int(plane[i * step])] += 1 }
        // How often two sampled bytes are equal: 1 in 256 if they are random.
        let equal = counts.reduce(0) { $0 + $1 * ($1 - 1) }
        return Double(equal) / Double(sampled * (sampled - 1)) < 1.05 / 256
    }

    /// Unpacks elements.
    ///
    /// - Parameters:
    ///   - packed: the output of `pack`
    ///   - count: number of elements
    ///   - size: bytes per element
    /// - Returns: the bytes
    /// - Throws: `FrameError.packing` if the data does not unpack to exactly this number of bytes
    package static func unpack(
        _ packed: [UInt8],
        count: Int,
        size: Int
    ) throws(FrameError) -> [UInt8] {
        let total = count * size
        guard packed.count <= total, total <= largestGain * packed.count else { throw .packing }
        var stream = z_stream()
        let began = inflateInit2_(
            &stream,
            -MAX_WBITS,
            ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size)
        )
        guard began == Z_OK else { throw .packing }
        defer { inflateEnd(&stream) }
        // zlib only reads it, although its pointer is not const.
        var input = packed
        var isWhole = false
        let planes = [UInt8](unsafeUninitializedCapacity: total) { out, initialized in
            input.withUnsafeMutableBufferPointer { input in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(input.count)
                stream.next_out = out.baseAddress
                stream.avail_out = UInt32(total)
                isWhole =
                    inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_in == 0
                    && stream.avail_out == 0
            }
            initialized = total - Int(stream.avail_out)
        }
        guard isWhole else { throw .packing }
        return [UInt8](unsafeUninitializedCapacity: total) { bytes, initialized in
            planes.withUnsafeBufferPointer { planes in
                for plane in 0..<size {
                    let from = plane * count
                    for i in 0..<count { bytes[i * size + plane] = planes[from + i] }
                }
            }
            initialized = total
        }
    }
}
