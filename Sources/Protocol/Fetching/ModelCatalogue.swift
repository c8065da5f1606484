import Engine
import Foundation
import SwiftProtobuf

/// The files of a model and the digests of their chunks: what a worker that lacks the model requests first.
package struct ModelCatalogue: Equatable, Sendable {
    package struct File: Equatable, Sendable {
        package let name: String
        package let digest: Digest
        package let size: Int
        package let chunks: [Digest]

        package init(name: String, digest: Digest, size: Int, chunks: [Digest]) {
            (self.name, self.digest, self.size, self.chunks) = (name, digest, size, chunks)
        }
    }

    /// A BLAKE2b-256 digest.
    package struct Digest: Hashable, Sendable, CustomStringConvertible {
        package let bytes: [UInt8]

        /// Nil unless there are 32 bytes.
        package init?(bytes: [UInt8]) {
            guard bytes.count == 32 else { return nil }
            self.bytes = bytes
        }

        /// Nil unless there are 64 hexadecimal digits.
        package init?(hex: String) {
            let digits = Array(hex.utf8)
            let bytes = stride(from: 0, to: digits.count - 1, by: 2).compactMap { place in
                UInt8(String(decoding: digits[place..<place + 2], as: UTF8.self), radix: 16)
            }
            guard digits.count == 64 else { return nil }
            self.init(bytes: bytes)
        }

        /// Computes the digest of some bytes.
        package init(of content: UnsafeRawBufferPointer) {
            let hash = FileHash()
            hash.add(bytes: content)
            bytes = hash.digest()
        }

        package var description: String { bytes.map { String(format: "%02x", $0) }.joined() }
    }

    package var files: [File]
    package var parts: ModelContent.Parts

    package init(files: [File], parts: ModelContent.Parts) {
        (self.files, self.parts) = (files, parts)
    }

    /// Size of every chunk except a file's last, in bytes.
    package static let chunkBytes = 1 << 20
    /// Maximum size of a serialised catalogue, in bytes.
    package static let maxBytes = 16 << 20
    private static let maxFiles = 1024
    private static let maxNameLength = 200

    /// Total size of the files, in bytes.
    package var size: Int { files.reduce(0) { $0 + $1.size } }

    /// Number of chunks of a file of `size` bytes.
    package static func chunkCount(_ size: Int) -> Int { (size + chunkBytes - 1) / chunkBytes }

    /// Whether a name is safe: it can only create a file below the given folder.
    package static func isHarmless(_ name: String) -> Bool {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        return (1...3).contains(parts.count) && name.utf8.count <= maxNameLength
            && parts.allSatisfy { part in
                !part.isEmpty && !part.hasPrefix(".")
                    && part.utf8.allSatisfy { byte in
                        switch byte {
                        case 48...57, 65...90, 97...122: true
                        default: [45, 46, 95].contains(byte)
                        }
                    }
            }
    }
}

extension ModelCatalogue {
    /// The serialised catalogue.
    package var bytes: [UInt8] {
        let wire = WireCatalogue.with {
            $0.files = files.map { file in
                .with {
                    $0.name = file.name
                    $0.digest = Data(file.digest.bytes)
                    $0.size = UInt64(file.size)
                    $0.chunks = Data(file.chunks.flatMap(\.bytes))
                }
            }
            $0.model = parts.model
            $0.modelConfig = parts.config ?? ""
            $0.vae = parts.vae ?? ""
            $0.base = parts.base ?? ""
            $0.refiner = parts.refiner ?? ""
            $0.loras = parts.loras
        }
        do {
            return try wire.serializedBytes()
        } catch {
            preconditionFailure("proto3 without required fields always serialises: \(error)")
        }
    }

    /// Reads a catalogue from another process.
    ///
    /// - Throws: `FrameError` if it cannot be a model, or would be written outside its folder
    package init(bytes: [UInt8]) throws(FrameError) {
        guard bytes.count <= Self.maxBytes else { throw .envelopeSize(bytes.count) }
        let wire = try WireCatalogue(received: bytes, depth: 4)
        guard (1...Self.maxFiles).contains(wire.files.count) else {
            throw .field("catalogue.files")
        }
        files = []
        for file in wire.files { files.append(try File(file)) }
        guard Set(files.map(\.name)).count == files.count else {
            throw .field("catalogue.files: name")
        }
        parts = ModelContent.Parts()
        parts.model = try Self.part(wire.model) ?? ""
        parts.config = try Self.part(wire.modelConfig)
        parts.vae = try Self.part(wire.vae)
        parts.base = try Self.part(wire.base)
        parts.refiner = try Self.part(wire.refiner, hasValue: true)
        guard !parts.model.isEmpty, wire.loras.count <= 64 else { throw .field("catalogue.model") }
        for lora in wire.loras {
            if let name = try Self.part(lora, hasValue: true) { parts.loras.append(name) }
        }
    }

    /// - Returns: nil if `text` is empty
    private static func part(_ text: String, hasValue: Bool = false) throws(FrameError) -> String? {
        guard !text.isEmpty else { return nil }
        let name = hasValue ? String(text.prefix { $0 != ":" }) : text
        guard isHarmless(name), text.utf8.count <= 2 * maxNameLength else {
            throw .field("catalogue: name")
        }
        return text
    }
}

extension ModelCatalogue.File {
    fileprivate init(_ wire: WireCatalogueFile) throws(FrameError) {
        let bytes = Array(wire.chunks)
        guard ModelCatalogue.isHarmless(wire.name) else { throw .field("catalogue.files: name") }
        guard let digest = ModelCatalogue.Digest(bytes: Array(wire.digest)),
            wire.size <= 1 << 44,
            bytes.count == 32 * ModelCatalogue.chunkCount(Int(wire.size))
        else { throw .field("catalogue.files") }
        let chunks = stride(from: 0, to: bytes.count, by: 32).compactMap { place in
            ModelCatalogue.Digest(bytes: Array(bytes[place..<place + 32]))
        }
        self.init(name: wire.name, digest: digest, size: Int(wire.size), chunks: chunks)
    }
}
