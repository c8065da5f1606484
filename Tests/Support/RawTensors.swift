import Engine
import Foundation

/// Tensors as bytes, for writing files of any layout without changing a value.
package struct RawTensor: Sendable, Equatable {
    package var type: SafeTensors.ElementType
    package var shape: [Int]
    package var bytes: [UInt8]

    package init(type: SafeTensors.ElementType, shape: [Int], bytes: [UInt8]) {
        self.type = type
        self.shape = shape
        self.bytes = bytes
    }

    /// Zeros in half precision.
    package init(zeros shape: [Int]) {
        self.init(
            type: .float16,
            shape: shape,
            bytes: Array(repeating: 0, count: 2 * shape.reduce(1, *))
        )
    }

    /// Ones in single precision.
    package init(ones shape: [Int]) {
        let one = withUnsafeBytes(of: Float(1)) { Array($0) }
        self.init(
            type: .float32,
            shape: shape,
            bytes: Array(repeatElement(one, count: shape.reduce(1, *)).joined())
        )
    }

    /// A matrix of two-byte elements, transposed.
    package func transposed() -> RawTensor {
        let (rows, columns) = (shape[0], shape[1])
        var out: [UInt8] = []
        for j in 0..<columns {
            for i in 0..<rows {
                let at = 2 * (i * columns + j)
                out += bytes[at..<at + 2]
            }
        }
        return RawTensor(type: type, shape: [columns, rows], bytes: out)
    }

    /// All tensors of a file.
    package static func read(_ path: String) throws -> [String: RawTensor] {
        let file = try SafeTensors(file: path)
        var tensors: [String: RawTensor] = [:]
        for name in file.names {
            guard let info = file.info(name), let bytes = file.bytes(name) else { continue }
            tensors[name] = RawTensor(type: info.type, shape: info.shape, bytes: Array(bytes))
        }
        return tensors
    }

    /// Writes a safetensors file.
    package static func write(
        _ tensors: [String: RawTensor],
        metadata: [String: String] = [:],
        to path: String
    ) throws {
        var (header, data): ([String: Any], Data) = (["__metadata__": metadata], Data())
        if metadata.isEmpty { header = [:] }
        for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
            header[name] = [
                "dtype": tensor.type.rawValue, "shape": tensor.shape,
                "data_offsets": [data.count, data.count + tensor.bytes.count],
            ]
            data.append(contentsOf: tensor.bytes)
        }
        try write(header: header, to: path, data: data)
    }

    /// Writes a file of half-precision zeros that takes no disk space, whatever its size.
    package static func writeHollow(_ shapes: [String: [Int]], to path: String) throws {
        var (header, size): ([String: Any], Int) = ([:], 0)
        for (name, shape) in shapes.sorted(by: { $0.key < $1.key }) {
            let end = size + 2 * shape.reduce(1, *)
            header[name] = ["dtype": "F16", "shape": shape, "data_offsets": [size, end]]
            size = end
        }
        let start = try write(header: header, to: path, data: Data())
        guard truncate(path, start + size) == 0 else {
            throw CocoaError(.fileWriteUnknown)
        }
    }

    @discardableResult
    private static func write(header: [String: Any], to path: String, data: Data) throws -> Int {
        let json = try JSONSerialization.data(withJSONObject: header)
        let length = withUnsafeBytes(of: UInt64(json.count).littleEndian) { Data($0) }
        try (length + json + data).write(to: URL(fileURLWithPath: path))
        return length.count + json.count
    }
}
