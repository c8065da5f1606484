import CYaml
import Engine
import Foundation
import Yams

/// Parses a YAML file after checking its structure.
///
/// Yams compares the keys of a mapping by their whole content. In a file of a few lines, a key that is a list of
/// aliases to lists of aliases can expand beyond any machine's memory, so keys must be text.
package enum YAMLForm {
    /// - Parameters:
    ///   - text: contents of the file
    ///   - place: path of the file, for messages
    /// - Returns: the root node; nil for an empty file
    /// - Throws: `InputError` with the line of an error
    package static func root(_ text: String, place: String) throws(InputError) -> Node? {
        try check(text, place: place)
        do {
            return try Yams.compose(yaml: text)
        } catch {
            throw fault(error, place)
        }
    }

    private static func fault(_ error: any Error, _ place: String) -> InputError {
        if case YamlError.duplicatedKeysInMapping(let names, let context) = error {
            return InputError(
                "\(place):\(context.mark.line): \((names.first ?? "?").prefix(80))",
                "the field is duplicated",
                fix: "Remove one of them"
            )
        }
        let text = String(describing: error).split(separator: "\n").map {
            $0.trimmingCharacters(in: .whitespaces)
        }.joined(separator: " ")
        return InputError(place, "it is not YAML: \(text)", fix: "Correct it")
    }

    /// A collection that is being parsed.
    private enum Open {
        case sequence
        case mapping(awaitsKey: Bool)
    }

    /// Checks the structure of a file, in time proportional to its length.
    ///
    /// - Parameters:
    ///   - text: contents of the file
    ///   - place: path of the file, for messages
    /// - Throws: `InputError` with the line of a key that is not text; invalid YAML is accepted, because parsing it
    ///   reports why
    static func check(_ text: String, place: String) throws(InputError) {
        let line = Array(text.utf8).withUnsafeBufferPointer(lineOfCollectionAsKey)
        guard let line else { return }
        throw InputError(
            "\(place):\(line)",
            "a field's name must be text",
            fix: "Write name: value"
        )
    }

    /// The line, from 1, of the first key that is a list, a mapping or an alias.
    private static func lineOfCollectionAsKey(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        var parser = yaml_parser_t()
        guard yaml_parser_initialize(&parser) == 1 else { return nil }
        defer { yaml_parser_delete(&parser) }
        yaml_parser_set_input_string(&parser, bytes.baseAddress, bytes.count)
        var open: [Open] = []
        while true {
            var event = yaml_event_t()
            guard yaml_parser_parse(&parser, &event) == 1 else { return nil }
            defer { yaml_event_delete(&event) }
            switch event.type {
            case YAML_STREAM_END_EVENT: return nil
            case YAML_SCALAR_EVENT: _ = completeNode(&open)
            case YAML_ALIAS_EVENT:
                if completeNode(&open) { return Int(event.start_mark.line) + 1 }
            case YAML_SEQUENCE_START_EVENT, YAML_MAPPING_START_EVENT:
                if case .mapping(awaitsKey: true)? = open.last {
                    return Int(event.start_mark.line) + 1
                }
                let isMapping = event.type == YAML_MAPPING_START_EVENT
                open.append(isMapping ? .mapping(awaitsKey: true) : .sequence)
            case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT:
                open.removeLast()
                _ = completeNode(&open)
            default: break
            }
        }
    }

    /// Called after a complete key or value. Returns whether it was a key.
    private static func completeNode(_ open: inout [Open]) -> Bool {
        guard case .mapping(let wasKey)? = open.last else { return false }
        open[open.count - 1] = .mapping(awaitsKey: !wasKey)
        return wasKey
    }
}
