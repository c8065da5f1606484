/// Memory of a device, in bytes.
package struct DeviceMemory: Equatable, Sendable {
    /// What the driver could still give to any process. Memory that PyTorch keeps for later tensors is not part of it.
    package let free: Int
    package let all: Int

    package init(free: Int, all: Int) {
        (self.free, self.all) = (free, all)
    }
}
