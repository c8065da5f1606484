import CKernels
import Foundation

/// One safetensors file, memory-mapped. Its whole header is validated before anything is used.
///
/// Format: <https://github.com/huggingface/safetensors>: eight bytes of header length, a JSON
/// header of names, types, shapes and offsets, then the data.
package final class SafeTensors: Sendable {
    /// How elements are stored.
    package enum ElementType: String, Sendable {
        case float64 = "F64"
        case float32 = "F32"
        case float16 = "F16"
        case bfloat16 = "BF16"
        case int64 = "I64"
        case int32 = "I32"
        case int16 = "I16"
        case int8 = "I8"
        case uint8 = "U8"
        case bool = "BOOL"
        /// 8 bits: 1 for the sign, 4 for the exponent and 3 for the mantissa; no infinity.
        case float8 = "F8_E4M3"
        /// 8 bits: 1 for the sign, 5 for the exponent and 2 for the mantissa; the upper half of an F16.
        case wideFloat8 = "F8_E5M2"
        /// Anything else. Tensors of such types can be skipped, but not read.
        case other = "?"

        /// Bytes per element; 0 if unknown.
        var size: Int {
            switch self {
            case .float64, .int64: 8
            case .float32, .int32: 4
            case .float16, .bfloat16, .int16: 2
            case .int8, .uint8, .bool, .float8, .wideFloat8: 1
            case .other: 0
            }
        }
    }

    /// Type and shape of one tensor.
    package struct Info: Equatable, Sendable {
        package let type: ElementType
        package let shape: [Int]
        let range: Range<Int>
        /// The type's name in the file.
        let typeName: String
    }

    package let path: String
    /// Free text from the header's `__metadata__`.
    package let metadata: [String: String]
    private let mapping: Mapping
    private let entries: [String: Info]

    /// Maximum accepted header size in bytes, as in the reference implementation.
    static let longestHeader = 100_000_000
    /// Maximum length of a tensor's name, in bytes.
    static let longestName = 1000
    /// Maximum length of the name of a type, in bytes.
    static let longestType = 32

    /// - Throws: `InputError` naming the file and the tensor at fault
    package init(file path: String) throws(InputError) {
        self.path = path
        mapping = try Mapping(path)
        (entries, metadata) = try SafeTensors.header(mapping.bytes, place: path)
    }

    /// Offset of the tensors in the file, in bytes.
    package var headerBytes: Int {
        8 + Int(UInt64(littleEndian: mapping.bytes.loadUnaligned(as: UInt64.self)))
    }

    /// Names of all tensors, sorted.
    package var names: [String] { entries.keys.sorted() }

    /// Type and shape of a tensor, or nil.
    package func info(_ name: String) -> Info? { entries[name] }

    /// The tensor's bytes as stored in the file, valid while this object exists.
    package func bytes(_ name: String) -> UnsafeRawBufferPointer? {
        entries[name].map { UnsafeRawBufferPointer(rebasing: mapping.bytes[$0.range]) }
    }

    /// A float tensor as float32, in the file's order of axes.
    ///
    /// - Throws: `InputError` if it is missing or not of a float type
    package func tensor(_ name: String) throws(InputError) -> Tensor {
        guard let info = entries[name] else { throw missing(name) }
        return try tensor(name, elements: 0..<info.shape.reduce(1, *)).reshaped(info.shape)
    }

    /// A range of consecutive elements of a float tensor as float32, flat.
    ///
    /// - Throws: `InputError` if it is missing or not of a float type
    func tensor(_ name: String, elements: Range<Int>) throws(InputError) -> Tensor {
        guard let info = entries[name], let whole = bytes(name) else { throw missing(name) }
        guard Self.floats.contains(info.type) else { throw notFloat(name) }
        let size = info.type.size
        let raw = UnsafeRawBufferPointer(
            rebasing: whole[elements.lowerBound * size..<elements.upperBound * size]
        )
        return Self.floats(raw, info.type, count: elements.count)
    }

    /// Elements of a float type as float32, flat.
    static func floats(
        _ raw: UnsafeRawBufferPointer,
        _ type: ElementType,
        count: Int
    ) -> Tensor {
        Tensor(shape: [count]) { out in
            guard let from = raw.baseAddress, let to = out.baseAddress else { return }
            switch type {
            case .float16: tessera_from_half(from, to, out.count)
            case .bfloat16: tessera_from_bfloat(from, to, out.count)
            case .float8: Float8.read(raw, Float8.values, into: out)
            case .wideFloat8: Float8.read(raw, Float8.wideValues, into: out)
            case .float64:
                for i in out.indices {
                    let value = raw.loadUnaligned(fromByteOffset: 8 * i, as: Double.self)
                    out[i] = Float(value)
                }
            default: UnsafeMutableRawBufferPointer(out).copyMemory(from: raw)
            }
        }
    }

    /// An integer tensor, flat.
    ///
    /// - Throws: `InputError` if it is missing or not of an integer type
    package func integers(_ name: String) throws(InputError) -> [Int] {
        guard let info = entries[name], let raw = bytes(name) else { throw missing(name) }
        let count = info.shape.reduce(1, *)
        func load<T: BinaryInteger>(_ type: T.Type) -> [Int] {
            (0..<count).map {
                Int(raw.loadUnaligned(fromByteOffset: $0 * MemoryLayout<T>.size, as: type))
            }
        }
        switch info.type {
        case .int64: return load(Int64.self)
        case .int32: return load(Int32.self)
        case .int16: return load(Int16.self)
        case .int8: return load(Int8.self)
        case .uint8, .bool: return load(UInt8.self)
        default:
            throw InputError(
                "\(path): \(name)",
                "its type is \(info.typeName)",
                fix: "It must be an integer type"
            )
        }
    }

    /// The supported element types of weights.
    static let floats: Set<ElementType> = [
        .float64, .float32, .float16, .bfloat16, .float8, .wideFloat8,
    ]

    func notFloat(_ name: String) -> InputError {
        InputError(
            "\(path): \(name)",
            "its type is \(entries[name]?.typeName ?? "unknown")",
            fix: "It must be F32, F16, BF16, F8_E4M3 or F8_E5M2"
        )
    }

    private func missing(_ name: String) -> InputError {
        InputError(path, "there is no tensor '\(name)'", fix: "Check that it is the right file")
    }
}

extension SafeTensors {
    /// Other file formats of models, recognised by their first bytes, and what to do with them.
    private static func otherFormat(
        _ bytes: UnsafeRawBufferPointer
    ) -> (kind: String, remedy: String)? {
        // PyTorch's current format, and its format before version 1.6.
        for start in [Array("PK\u{3}\u{4}".utf8), [0x80, 2, 0x8A, 10, 0x6C]]
        where bytes.starts(with: start) {
            return (
                "a pickled checkpoint (.ckpt, .pt, .bin), which can run code and is not read",
                Conversion.pickle
            )
        }
        if bytes.starts(with: Array("GGUF".utf8)) {
            return ("a GGUF file, whose packed numbers are not read", Conversion.gguf)
        }
        let start = String(decoding: bytes.prefix(64), as: UTF8.self)
            .drop { $0.isWhitespace }.lowercased()
        if start.hasPrefix("<!doctype") || start.hasPrefix("<html") {
            return ("a web page, saved under this name", "Fetch the model as safetensors")
        }
        return nil
    }

    /// Other files that users name by mistake.
    private static func notWeights(
        _ bytes: UnsafeRawBufferPointer
    ) -> (kind: String, remedy: String)? {
        if let picture = PictureKind(Array(bytes.prefix(16))) {
            return (
                "\(picture.rawValue), not weights",
                "tessera plan --from-png shows what it would take to repeat a picture"
            )
        }
        guard bytes.first == UInt8(ascii: "{") else { return nil }
        return (
            "a JSON file, not weights", "Name the .safetensors file, or the folder that it is in"
        )
    }

    /// Reads and checks the header.
    private static func header(
        _ bytes: UnsafeRawBufferPointer,
        place: String
    ) throws(InputError) -> ([String: Info], [String: String]) {
        func damaged(_ problem: String) -> InputError {
            InputError(
                place,
                problem,
                fix: "The file is damaged or not safetensors: fetch it again"
            )
        }
        guard bytes.count >= 8 else { throw damaged("it has fewer than 8 bytes") }
        if let other = otherFormat(bytes) {
            throw InputError(place, "it is \(other.kind)", fix: other.remedy)
        }
        let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        guard length <= longestHeader, length <= bytes.count - 8 else {
            // Checked only now: the length of a valid header may begin with the same bytes as such a file.
            if let other = notWeights(bytes) {
                throw InputError(place, "it is \(other.kind)", fix: other.remedy)
            }
            throw damaged("its header claims \(length) bytes")
        }
        let data = 8 + Int(length)
        let json = try JSON(bytes[8..<data], place: place)
        guard let fields = json.object else { throw damaged("its header is not an object") }
        var entries: [String: Info] = [:]
        var metadata: [String: String] = [:]
        for (name, value) in fields {
            if name == "__metadata__" {
                for (key, text) in value.object ?? [:] { metadata[key] = text.string }
                continue
            }
            guard name.utf8.count <= longestName else { throw damaged("a name is too long") }
            guard let entry = value.object, let dtype = entry["dtype"]?.string,
                (1...longestType).contains(dtype.utf8.count)
            else { throw damaged("'\(name.prefix(80))' has no type") }
            // An unknown type matters only if the tensor is needed.
            let type = ElementType(rawValue: dtype) ?? .other
            let shape = (entry["shape"]?.array ?? []).compactMap(\.integer)
            let offsets = (entry["data_offsets"]?.array ?? []).compactMap(\.integer)
            guard let axes = entry["shape"]?.array, axes.count == shape.count, axes.count <= 16,
                shape.allSatisfy({ $0 >= 0 }), offsets.count == 2
            else { throw damaged("the shape or place of '\(name.prefix(80))' is malformed") }
            var size = type.size
            for axis in shape {
                let (product, overflow) = size.multipliedReportingOverflow(by: axis)
                guard !overflow else { throw damaged("'\(name.prefix(80))' is too large") }
                size = product
            }
            guard offsets[0] >= 0, offsets[1] >= offsets[0], offsets[1] <= bytes.count - data,
                offsets[1] - offsets[0] == size || type == .other
            else {
                throw damaged("'\(name.prefix(80))' does not lie in the file as its shape says")
            }
            entries[name] = Info(
                type: type,
                shape: shape,
                range: (data + offsets[0])..<(data + offsets[1]),
                typeName: dtype
            )
        }
        let ranges = entries.values.map(\.range).filter { !$0.isEmpty }
            .sorted { $0.lowerBound < $1.lowerBound }
        for (a, b) in Swift.zip(ranges, ranges.dropFirst()) where a.upperBound > b.lowerBound {
            throw damaged("two of its tensors overlap")
        }
        return (entries, metadata)
    }
}

/// A file mapped read-only.
///
/// `@unchecked Sendable`: `bytes` is constant, and the memory that it points to is mapped read-only until `deinit`.
private final class Mapping: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer

    init(_ path: String) throws(InputError) {
        let (descriptor, size) = try InputFile.open(path)
        defer { close(descriptor) }
        guard size > 0 else {
            throw InputError(path, "it is empty", fix: "Fetch it again")
        }
        let memory = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard let memory, memory != MAP_FAILED else {
            throw InputError(path, "it cannot be mapped", code: errno, fix: "Free some memory")
        }
        bytes = UnsafeRawBufferPointer(start: memory, count: size)
    }

    deinit { munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count) }
}
