/// Memory of a device, in bytes.
package struct DeviceMemory: Equatable, Sendable {
    /// Bytes that the driver can still give to any process. Memory that PyTorch keeps for later tensors does not count.
    package let free: Int
    package let all: Int

    package init(free: Int, all: Int) {
        (self.free, self.all) = (free, all)
    }
}
