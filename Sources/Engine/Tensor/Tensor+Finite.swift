extension Tensor {
    /// Whether no element is NaN or infinite.
    package var isFinite: Bool { largestMagnitude != nil }

    /// The largest absolute value of an element; nil if one is NaN or infinite.
    package var largestMagnitude: Float? {
        withFloats { x in
            // Absolute values are ordered like their bit patterns, with infinity and NaN above all others. Unlike a
            // maximum of floats, this loop vectorises.
            var largest: Int32 = 0
            for value in x {
                largest = max(largest, Int32(bitPattern: value.magnitude.bitPattern))
            }
            let peak = Float(bitPattern: UInt32(bitPattern: largest))
            return peak.isFinite ? peak : nil
        }
    }
}
