import Foundation

extension SafeTensors {
    /// Writes float32 tensors under a temporary name and renames the file when it is complete.
    ///
    /// - Throws: `OutputError` if the file cannot be written
    package static func write(
        _ tensors: [(String, Tensor)],
        metadata: [String: String] = [:],
        to path: String
    ) throws(OutputError) {
        var entries: [String] = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key < $1.key }
                .map { "\(quoted($0.key)):\(quoted($0.value))" }
            entries.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
        }
        var offset = 0
        for (name, tensor) in tensors {
            let end = offset + tensor.count * MemoryLayout<Float>.size
            entries.append(
                "\(quoted(name)):{\"dtype\":\"F32\",\"shape\":\(tensor.shape),"
                    + "\"data_offsets\":[\(offset),\(end)]}"
            )
            offset = end
        }
        var header = Array("{\(entries.joined(separator: ","))}".utf8)
        while header.count % 8 != 0 { header.append(UInt8(ascii: " ")) }
        let file = try TemporaryFile(for: path)
        let length = UInt64(header.count)
        try file.write((0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + header)
        for (_, tensor) in tensors {
            try tensor.withFloats { floats throws(OutputError) in
                try file.write(UnsafeRawBufferPointer(floats))
            }
        }
        try file.commit()
    }

    private static func quoted(_ text: String) -> String {
        let escaped = text.unicodeScalars.map { scalar in
            switch scalar {
            case "\"": "\\\""
            case "\\": "\\\\"
            case "\0"..<" ": String(format: "\\u%04x", scalar.value)
            default: String(scalar)
            }
        }
        return "\"\(escaped.joined())\""
    }
}
