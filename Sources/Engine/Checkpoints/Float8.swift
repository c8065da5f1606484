/// 8-bit floating-point numbers (Micikevicius et al., 2022), decoded with tables of all 256 values.
enum Float8 {
    /// `F8_E4M3`: a 4-bit exponent with a bias of 7. The largest code of either sign is NaN; infinity has no code.
    static let values: [Float] = (0..<256).map { code in
        let (exponent, mantissa) = (code >> 3 & 15, Float(code & 7) / 8)
        let sign: Float = code < 128 ? 1 : -1
        guard code & 127 != 127 else { return .nan }
        return exponent == 0
            ? sign * mantissa * Float(sign: .plus, exponent: -6, significand: 1)
            : sign * Float(sign: .plus, exponent: exponent - 7, significand: 1 + mantissa)
    }

    /// `F8_E5M2`: the upper byte of a half-precision number.
    static let wideValues: [Float] = (0..<256).map { code in
        let (exponent, mantissa) = (code >> 2 & 31, Float(code & 3) / 4)
        let sign: Float = code < 128 ? 1 : -1
        guard exponent < 31 else { return mantissa == 0 ? sign * .infinity : .nan }
        return exponent == 0
            ? sign * mantissa * Float(sign: .plus, exponent: -14, significand: 1)
            : sign * Float(sign: .plus, exponent: exponent - 15, significand: 1 + mantissa)
    }

    /// Decodes every byte with a table.
    static func read(
        _ bytes: UnsafeRawBufferPointer,
        _ table: [Float],
        into out: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(bytes.count == out.count, "\(bytes.count) vs \(out.count)")
        table.withUnsafeBufferPointer { table in
            for i in out.indices { out[i] = table[Int(bytes[i])] }
        }
    }
}

/// 8-bit weights with a scale factor each, as ComfyUI stores them: `a.scale_weight` beside `a.weight`, and a marker for the
/// whole file. Newer files use `a.weight_scale` and `a.comfy_quant`.
extension SafeTensors {
    /// Whether a tensor only describes how others are stored.
    static func describesStorage(_ name: String) -> Bool {
        let leaf = name.split(separator: ".").last.map(String.init) ?? name
        return [
            "scaled_fp8", "scale_weight", "scale_input", "weight_scale", "input_scale",
            "comfy_quant",
        ].contains(leaf)
    }

    /// The tensor that holds the scale factor of a weight; nil if there is none.
    func scaleName(of name: String) -> String? {
        guard name.hasSuffix(".weight") else { return nil }
        let stem = name.dropLast("weight".count)
        return ["scale_weight", "weight_scale"].map { stem + $0 }.first { info($0) != nil }
    }

    /// The scale factor of a weight.
    ///
    /// - Throws: `InputError` unless it is one finite number
    func scale(_ name: String) throws(InputError) -> Float {
        let values = try tensor(name).values
        guard values.count == 1, values[0].isFinite else {
            throw InputError(
                "\(path): \(name)",
                "it is \(values.count == 1 ? "\(values[0])" : "\(values.count) numbers"), not one "
                    + "finite factor of the whole weight",
                fix: "Only scaled FP8 with one factor for each weight is supported"
            )
        }
        return values[0]
    }
}
