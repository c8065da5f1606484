import CTorch

/// What the NVIDIA driver reports about this host's GPUs.
package enum NVIDIADriver {
    /// Temperature of the hottest GPU in degrees Celsius; nil without a driver or GPU.
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
