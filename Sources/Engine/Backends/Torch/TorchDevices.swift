import CTorch

/// The devices of this machine that an installed PyTorch can compute on.
package enum TorchDevices {
    /// An NVIDIA GPU, as its driver describes it.
    package struct GPU: Sendable {
        package let device: DeviceName
        /// As in "NVIDIA H100 80GB HBM3".
        package let name: String
        /// In bytes.
        package let freeMemory: Int, memory: Int
    }

    /// GPUs that one machine may have, at most.
    private static let most = 64

    /// The NVIDIA GPUs that the driver reports; none without a driver.
    package static var gpus: [GPU] {
        var found: [GPU] = []
        for index in 0..<most {
            guard let gpu = gpu(index) else { break }
            found.append(gpu)
        }
        return found
    }

    private static func gpu(_ index: Int) -> GPU? {
        var name = [CChar](repeating: 0, count: 128)
        var (free, all): (UInt64, UInt64) = (0, 0)
        let size = name.count
        guard tessera_nvidia_gpu(Int32(index), &name, size, &free, &all) == 0 else { return nil }
        let text = String(
            decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
        return GPU(
            device: .numbered(.cuda, index),
            name: text,
            freeMemory: Int(clamping: free),
            memory: Int(clamping: all)
        )
    }

    /// What a device is called, for people: the GPU's name, if the driver knows it, and its own in parentheses.
    package static func title(of device: DeviceName) -> String {
        let name = device.kind == .cuda ? gpu(device.index)?.name : nil
        return name.map { "\($0) (\(device))" } ?? device.rawValue
    }

    /// Every GPU, else the processor.
    ///
    /// - Parameter torch: the value of `--torch`
    /// - Returns: at least one
    /// - Throws: `InputError` if there is no PyTorch, or it cannot be loaded
    package static func all(torch: String?) throws(InputError) -> [DeviceName] {
        let installation = try TorchFinder().find(torch)
        let library = try? TorchLibrary.load(installation, for: .cuda)
        let reported = gpus.map(\.device)
        if library != nil, !reported.isEmpty { return reported }
        // AMD's GPUs, and drivers without NVML.
        if let library {
            let usable = (0..<most).map { DeviceName.numbered(.cuda, $0) }.prefix {
                (try? library.place(of: $0)) != nil
            }
            if !usable.isEmpty { return Array(usable) }
        }
        let plain = try TorchLibrary.load(installation, for: .cpu)
        for kind in [DeviceName.Kind.mps, .xpu] {
            let device = DeviceName.numbered(kind, 0)
            if (try? plain.place(of: device)) != nil { return [device] }
        }
        return [.processor]
    }
}
