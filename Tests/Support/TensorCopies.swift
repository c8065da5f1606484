import Engine
import Foundation
import Testing

extension SafeTensors {
    /// Copies tensors, bit for bit, to another file.
    ///
    /// - Parameters:
    ///   - names: names of the tensors here, and their names in the other file
    ///   - path: path of the other file
    /// - Throws: if a tensor does not exist, or the file cannot be written
    package func copy(_ names: [(here: String, there: String)], to path: String) throws {
        var (entries, data): ([String], Data) = ([], Data())
        for name in names {
            let info = try #require(self.info(name.here))
            let bytes = try #require(self.bytes(name.here))
            entries.append(
                "\"\(name.there)\":{\"dtype\":\"\(info.type.rawValue)\",\"shape\":\(info.shape),"
                    + "\"data_offsets\":[\(data.count),\(data.count + bytes.count)]}"
            )
            data.append(contentsOf: bytes)
        }
        let header = Data("{\(entries.joined(separator: ","))}".utf8)
        let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Data($0) }
        try (length + header + data).write(to: URL(fileURLWithPath: path))
    }
}
