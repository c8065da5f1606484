import Coordinator
import Protocol
import Testing

/// Which machines a render waits for while they fetch or load the model.
@Suite struct PreparingMachinesTests {
    @Test func aMachineIsWaitedForUntilItIsSilentForTooLong() throws {
        let (fetching, silent) = (try KeyPair.new().publicKey, try KeyPair.new().publicKey)
        let start = ContinuousClock.now
        let patience = PreparingMachines.patience
        var machines = PreparingMachines()
        machines.note(fetching, at: start)
        machines.note(silent, at: start)
        #expect(machines.keys(at: start) == [fetching, silent])
        machines.note(fetching, at: start + patience / 2)
        #expect(machines.keys(at: start + patience - .seconds(1)) == [fetching, silent])
        #expect(machines.keys(at: start + patience) == [fetching])
        #expect(machines.keys(at: start + patience * 2).isEmpty)
    }

    @Test func aMachineThatHasJoinedIsNotPreparing() throws {
        let key = try KeyPair.new().publicKey
        let start = ContinuousClock.now
        var machines = PreparingMachines()
        machines.note(key, at: start)
        machines.remove(key)
        #expect(machines.keys(at: start).isEmpty)
        // It may be told to load another model later.
        machines.note(key, at: start)
        #expect(machines.keys(at: start) == [key])
    }
}
