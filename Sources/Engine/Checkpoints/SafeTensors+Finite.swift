import CKernels

extension SafeTensors {
    /// Describes the first NaN or infinity in a tensor and its position.
    ///
    /// - Returns: nil if all values are finite, and for integer tensors
    func flaw(in name: String) -> String? {
        guard let info = info(name), let bytes = bytes(name), let start = bytes.baseAddress
        else { return nil }
        guard info.type.size > 0 else { return nil }
        let count = bytes.count / info.type.size
        let isFinite =
            switch info.type {
            case .float16: tessera_finite_words(start, count, 0x7C00) != 0
            case .bfloat16: tessera_finite_words(start, count, 0x7F80) != 0
            case .float32: tessera_finite_floats(start, count) != 0
            case .float8: bytes.allSatisfy { $0 & 0x7F != 0x7F }
            case .wideFloat8: bytes.allSatisfy { $0 & 0x7C != 0x7C }
            case .float64: (try? tensor(name).isFinite) ?? true
            default: true
            }
        guard !isFinite, let values = try? tensor(name).values,
            let first = values.firstIndex(where: { !$0.isFinite })
        else { return nil }
        let others = values.count { !$0.isFinite } - 1
        return (values[first].isNaN ? "NaN" : "an infinite value") + " at element \(first)"
            + (others > 0 ? " and \(others) more" : "")
    }

    /// Rejects a tensor with NaN or infinities: a picture made with it would be noise or blank.
    ///
    /// - Throws: `InputError` naming the file and the tensor
    package func refuseFlaw(in name: String) throws(InputError) {
        guard let flaw = flaw(in: name) else { return }
        throw InputError(
            "\(path): \(name)",
            "it holds \(flaw)",
            fix: "The file is damaged, or its training failed: fetch it again or use another one"
        )
    }
}
