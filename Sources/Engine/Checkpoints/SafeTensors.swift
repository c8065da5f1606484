import CKernels
import Foundation

/// Number formats of safetensors files. The raw values are those of the format.
package enum DType: String, Sendable, CaseIterable {
    case bool = "BOOL"
    case u8 = "U8"
    case i8 = "I8"
    case i16 = "I16"
    case u16 = "U16"
    case f16 = "F16"
    case bf16 = "BF16"
    case i32 = "I32"
    case u32 = "U32"
    case f32 = "F32"
    case f64 = "F64"
    case i64 = "I64"
    case u64 = "U64"

    /// Bytes of one number.
    package var size: Int {
        switch self {
        case .bool, .u8, .i8: 1
        case .i16, .u16, .f16, .bf16: 2
        case .i32, .u32, .f32: 4
        case .f64, .i64, .u64: 8
        }
    }
}

/// One safetensors file, mapped into memory; its whole header is checked before anything is used.
///
/// `@unchecked Sendable`: everything is written before `init` returns, and the mapping is read-only.
package final class SafeTensors: @unchecked Sendable {
    private let file: String
    private let mapping: Mapping
    private let entries: [String: Entry]

    fileprivate struct Entry {
        let dtype: DType
        let shape: [Int]
        let bytes: Range<Int>
    }

    /// The names of all tensors, sorted.
    package let names: [String]

    /// Maps a file and checks its header.
    ///
    /// Throws `InputError` for a file that cannot be read, is cut off, or contradicts itself.
    package init(file: String) throws(InputError) {
        self.file = file
        mapping = try Mapping(file: file)
        entries = try Self.header(of: mapping, file: file)
        names = entries.keys.sorted()
    }

    /// Number format and shape of a tensor, nil where there is none of this name.
    package func info(_ name: String) -> (dtype: DType, shape: [Int])? {
        entries[name].map { ($0.dtype, $0.shape) }
    }

    /// The bytes of a tensor, valid as long as this object lives.
    package func bytes(_ name: String) -> UnsafeRawBufferPointer? {
        entries[name].map { UnsafeRawBufferPointer(rebasing: mapping.bytes[$0.bytes]) }
    }

    /// A tensor of floating point numbers as float32, its axes in the order of the file.
    ///
    /// Throws `InputError` where there is none of this name, or it holds other numbers.
    package func tensor(_ name: String) throws(InputError) -> Tensor {
        let (entry, raw) = try find(name)
        guard [.f32, .f16, .bf16].contains(entry.dtype) else {
            throw InputError(
                file,
                "'\(name)' holds \(entry.dtype.rawValue), not F32, F16 or BF16",
                fix: "Convert the checkpoint to one of these"
            )
        }
        return Tensor(shape: entry.shape) { out in
            guard let from = raw.baseAddress, let to = out.baseAddress else { return }
            switch entry.dtype {
            case .f16: tessera_from_half(from, to, out.count)
            case .bf16: tessera_from_bfloat(from, to, out.count)
            default: UnsafeMutableRawBufferPointer(out).copyMemory(from: raw)
            }
        }
    }

    /// A tensor of whole numbers, in the order of the file.
    ///
    /// Throws `InputError` where there is none of this name, or it holds other numbers.
    package func integers(_ name: String) throws(InputError) -> [Int] {
        let (entry, raw) = try find(name)
        let count = entry.bytes.count / entry.dtype.size
        func read<T: FixedWidthInteger>(_ type: T.Type) -> [Int] {
            (0..<count).map {
                Int(
                    clamping: raw.loadUnaligned(
                        fromByteOffset: $0 * MemoryLayout<T>.size,
                        as: T.self
                    )
                )
            }
        }
        switch entry.dtype {
        case .bool, .u8: return read(UInt8.self)
        case .i8: return read(Int8.self)
        case .i16: return read(Int16.self)
        case .u16: return read(UInt16.self)
        case .i32: return read(Int32.self)
        case .u32: return read(UInt32.self)
        case .i64: return read(Int64.self)
        case .u64: return read(UInt64.self)
        case .f16, .bf16, .f32, .f64:
            throw InputError(
                file,
                "'\(name)' holds \(entry.dtype.rawValue), not whole numbers",
                fix: "Store it as I32 or I64"
            )
        }
    }

    private func find(_ name: String) throws(InputError) -> (Entry, UnsafeRawBufferPointer) {
        guard let entry = entries[name], let raw = bytes(name) else {
            throw InputError(
                file,
                "has no tensor '\(name)'",
                fix: "Use a file that belongs to this model"
            )
        }
        return (entry, raw)
    }

    // MARK: The header

    private static let mostHeaderBytes = 100_000_000
    private static let longestName = 1000

    private static func header(
        of mapping: Mapping,
        file: String
    ) throws(InputError) -> [String: Entry] {
        func broken(_ problem: String) -> InputError {
            InputError(
                file,
                "is not a valid safetensors file: \(problem)",
                fix: "Fetch the file again"
            )
        }
        let bytes = mapping.bytes
        guard bytes.count >= 8 else { throw broken("it has \(bytes.count) bytes") }
        let length = bytes.loadUnaligned(as: UInt64.self).littleEndian
        guard length <= mostHeaderBytes else { throw broken("its header has \(length) bytes") }
        guard length <= bytes.count - 8 else { throw broken("it ends inside its header") }
        let start = 8 + Int(length)
        let json = try JSON.parse(bytes[8..<start], place: file)
        guard case .object(let members) = json else { throw broken("its header is no object") }
        var entries: [String: Entry] = [:]
        for (name, value) in members where name != "__metadata__" {
            guard name.utf8.count <= longestName else { throw broken("a name is too long") }
            guard let entry = Entry(value, data: bytes.count - start) else {
                throw broken("the entry '\(name)' contradicts itself or lies outside the file")
            }
            entries[name] = Entry(
                dtype: entry.dtype,
                shape: entry.shape,
                bytes: start + entry.bytes.lowerBound..<start + entry.bytes.upperBound
            )
        }
        let inOrder = entries.filter { !$0.value.bytes.isEmpty }.sorted {
            ($0.value.bytes.lowerBound, $0.key) < ($1.value.bytes.lowerBound, $1.key)
        }
        for (one, two) in zip(inOrder, inOrder.dropFirst())
        where two.value.bytes.lowerBound < one.value.bytes.upperBound {
            throw broken("'\(one.key)' and '\(two.key)' overlap")
        }
        return entries
    }
}

extension SafeTensors.Entry {
    /// An entry of the header, its bytes counted from the end of the header; nil unless the number
    /// format is known, the shape sensible, and the bytes as many as both ask for and inside `data`.
    fileprivate init?(_ json: JSON, data: Int) {
        func integers(_ json: JSON?) -> [Int]? {
            guard case .array(let items)? = json else { return nil }
            var result: [Int] = []
            for item in items {
                guard case .number(let number) = item, number >= 0, number < 0x20_0000_0000_0000,
                    number == number.rounded()
                else { return nil }
                result.append(Int(number))
            }
            return result
        }
        guard case .object(let members) = json, case .string(let name)? = members["dtype"],
            let dtype = DType(rawValue: name), let shape = integers(members["shape"]),
            let offsets = integers(members["data_offsets"]), offsets.count == 2,
            shape.count <= 8, offsets[0] <= offsets[1], offsets[1] <= data
        else { return nil }
        var size = dtype.size
        for extent in shape {
            let (product, overflow) = size.multipliedReportingOverflow(by: extent)
            guard !overflow else { return nil }
            size = product
        }
        guard size == offsets[1] - offsets[0] else { return nil }
        self.init(dtype: dtype, shape: shape, bytes: offsets[0]..<offsets[1])
    }
}

/// A file mapped read-only, so that processes share it.
private final class Mapping {
    let bytes: UnsafeRawBufferPointer

    init(file: String) throws(InputError) {
        func unreadable(_ why: String) -> InputError {
            InputError(file, "cannot be read: \(why)", fix: "Check the path and its permissions")
        }
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw unreadable(String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw unreadable("it is not a file")
        }
        let count = Int(status.st_size)
        guard count > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let start = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, 0),
            start != MAP_FAILED
        else { throw unreadable(String(cString: strerror(errno))) }
        bytes = UnsafeRawBufferPointer(start: start, count: count)
    }

    deinit {
        guard let start = bytes.baseAddress else { return }
        munmap(UnsafeMutableRawPointer(mutating: start), bytes.count)
    }
}
