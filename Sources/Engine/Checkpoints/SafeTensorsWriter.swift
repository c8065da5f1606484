import Foundation

/// What a safetensors file is written from.
package enum SafeTensorsValue: Sendable {
    /// Stored as F32.
    case floats(Tensor)
    /// Stored as I32; every number must fit.
    case integers([Int], shape: [Int])

    fileprivate var shape: [Int] {
        switch self {
        case .floats(let tensor): tensor.shape
        case .integers(_, let shape): shape
        }
    }

    fileprivate var dtype: DType {
        switch self {
        case .floats: .f32
        case .integers: .i32
        }
    }
}

extension SafeTensors {
    /// Writes tensors under a temporary name beside `file`, then renames it: a reader sees the whole
    /// file or none.
    ///
    /// Throws `InputError` where the file cannot be written.
    package static func write(
        _ tensors: [(String, SafeTensorsValue)],
        metadata: [String: String] = [:],
        to file: String
    ) throws(InputError) {
        var (header, offset): ([String: Any], Int) = ([:], 0)
        if !metadata.isEmpty { header["__metadata__"] = metadata }
        for (name, value) in tensors {
            let end = offset + value.shape.reduce(value.dtype.size, *)
            header[name] = [
                "dtype": value.dtype.rawValue, "shape": value.shape,
                "data_offsets": [offset, end],
            ]
            offset = end
        }
        precondition(header.count == tensors.count + (metadata.isEmpty ? 0 : 1), "two of a name")
        let temporary = "\(file).\(getpid()).part"
        do {
            var json = try JSONSerialization.data(withJSONObject: header, options: .sortedKeys)
            json.append(contentsOf: Array(repeating: UInt8(ascii: " "), count: -json.count & 7))
            guard FileManager.default.createFile(atPath: temporary, contents: nil),
                let handle = FileHandle(forWritingAtPath: temporary)
            else { throw CocoaError(.fileWriteUnknown) }
            defer { try? handle.close() }
            try handle.write(
                contentsOf: withUnsafeBytes(of: UInt64(json.count).littleEndian) { Data($0) }
            )
            try handle.write(contentsOf: json)
            for (_, value) in tensors {
                switch value {
                case .floats(let tensor):
                    try tensor.withFloats { try handle.write(contentsOf: Data(buffer: $0)) }
                case .integers(let numbers, let shape):
                    precondition(numbers.count == shape.reduce(1, *), "\(shape)")
                    let narrow = numbers.map { Int32($0) }
                    try narrow.withUnsafeBufferPointer {
                        try handle.write(contentsOf: Data(buffer: $0))
                    }
                }
            }
            guard rename(temporary, file) == 0 else { throw CocoaError(.fileWriteUnknown) }
        } catch {
            try? FileManager.default.removeItem(atPath: temporary)
            throw InputError(
                file,
                "cannot be written",
                fix: "Check the folder, its permissions and its space"
            )
        }
    }
}
