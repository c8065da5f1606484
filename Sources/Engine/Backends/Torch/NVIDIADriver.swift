import CTorch

/// What the NVIDIA driver says of this host's GPUs.
package enum NVIDIADriver {
    /// Degrees Celsius of the hottest GPU; nil without driver or GPU.
    package static var temperature: Double? {
        var hottest: Int32 = -1
        for index in Int32(0)..<16 {
            let degrees = tessera_nvidia_temperature(index)
            guard degrees >= 0 else { break }
            hottest = max(hottest, degrees)
        }
        return hottest < 0 ? nil : Double(hottest)
    }
}
